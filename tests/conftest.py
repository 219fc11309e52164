"""Shared by every test: array shapes are checked at run time, and statistical tolerances come from one budget."""

from jaxtyping import install_import_hook

# Must run before the packages are imported: jaxtyping then checks each annotated shape and dtype by beartype.
install_import_hook(["gvatheory"], "beartype.beartype")
