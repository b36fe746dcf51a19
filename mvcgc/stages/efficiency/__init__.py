"""The stage that measures the cost of testing a video."""
