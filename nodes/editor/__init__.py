"""The server's answers to the editor: pictures, runs, uploads, panels and trainings.

ROUTES maps (method, path) to the function that answers. The pack's extension registers them.
"""

from . import panels, pictures, runs_and_uploads, trainings

ROUTES = panels.ROUTES | pictures.ROUTES | runs_and_uploads.ROUTES | trainings.ROUTES
