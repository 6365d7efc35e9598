"""The one loop and the one evaluator, for every method and every suite."""
