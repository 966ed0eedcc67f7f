"""What a researcher runs and a clinic never: studies, searches, comparisons, rivals of the shipped networks."""
