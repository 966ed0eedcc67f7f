"""What a researcher runs and a clinic never: studies, searches, comparisons, alternatives to the shipped networks."""
