"""What people see: texts of the daemon drawn by Markdown renderers."""
