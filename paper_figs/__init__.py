"""Figures and the report: one module per figure, where `data` computes or loads a dataset and `draw` draws it."""
