"""The stage that draws class activation maps."""
