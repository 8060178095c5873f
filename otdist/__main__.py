"""`python -m otdist` is the `otdist` command."""

from otdist.cli import main

if __name__ == "__main__":
    main()
