"""Independent routes: the recursions, expansions, exact instances and simulations that claims are compared with.

Tools of one row or a few; what every row uses (judging, budget, pictures) lies one folder up.
"""
