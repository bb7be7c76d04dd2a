"""Image quality: one metric or library a module; `api` has all of them by one signature."""
