"""The server's answers to the editor: pictures, runs, uploads, panels, trainings and the book.

ROUTES maps (method, path) to the function that answers. The pack's extension registers them.
"""

from . import book, forecast, panels, picture_folders, pictures, runs_and_uploads, trainings

ROUTES = {
    route: answer
    for part in (
        book,
        forecast,
        panels,
        picture_folders,
        pictures,
        runs_and_uploads,
        trainings,
    )
    for route, answer in part.ROUTES.items()
}
