"""A method and two suites for pearl_bench, in a package of their own."""
