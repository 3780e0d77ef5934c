"""Scripts that make the repository's own pictures, example workflows and locales."""
