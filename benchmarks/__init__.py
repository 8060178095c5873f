"""Side by side with other libraries: problems × competitors → JSON, Markdown and plots.

`python -m benchmarks --help` says how to run it; `benchmarks/suites/` holds one file a suite.
"""
