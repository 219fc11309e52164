"""Predictions N1 to N10 of the linear and convex models, taken to networks: runs, measurements, rules, verdicts."""
