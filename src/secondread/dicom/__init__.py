"""A hospital's network: objects come in by DICOM, are read as everything else is, and results go back."""
