"""Methods that look follow-ups up in tables which adapt to the text."""
