"""Who is given devices and cores next, and what they are on."""
