"""Control: tasks, rollouts, experts, cloning and its experiment."""
