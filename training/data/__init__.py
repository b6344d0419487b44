"""From records to data sets."""
