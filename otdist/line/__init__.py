"""Transport on the line: sorting, the monotone plan, closed forms."""
