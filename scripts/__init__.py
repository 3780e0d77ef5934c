"""Scripts that make the repository's pictures, templates and locales."""
