"""`python -m paper_figs` is the `gva` command, for launchers that start modules."""

from paper_figs.cli import main

if __name__ == "__main__":
    main()
