"""A method and a suite for pearl_bench, in a package of their own."""
