"""The real experiments: MuJoCo behaviour cloning with banks of averages, rollouts and statistics."""
