"""What is known of the studies that were indexed."""
