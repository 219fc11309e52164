"""Speed against the alternatives, one module per comparison."""
