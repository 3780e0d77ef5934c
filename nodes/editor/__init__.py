"""What the editor asks the server: pictures, runs, uploads, panels, trainings.

ROUTES says by method and path which function answers: compat.add_route makes them known.
"""

from . import panels, pictures, runs_and_uploads, trainings

ROUTES = panels.ROUTES | pictures.ROUTES | runs_and_uploads.ROUTES | trainings.ROUTES
