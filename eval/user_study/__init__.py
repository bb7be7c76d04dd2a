"""A user study of two methods, in a browser: the page, and what its answers say."""
