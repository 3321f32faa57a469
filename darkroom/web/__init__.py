"""The browser's side of Darkroom: the page, its routes and its words. Knows jobs and history; must not know tensors."""
