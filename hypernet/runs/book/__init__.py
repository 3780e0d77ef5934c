"""The book of runs: lists them, compares them, publishes their networks, and puts them away."""
