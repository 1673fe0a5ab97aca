"""Pictures made better: enlarged, cleaned, filled; by filters, by networks, and by a search in what a GAN can draw."""
