"""The flywheel: from records to a fine-tuned, evaluated and promoted specialist."""
