"""What the editor asks the server: pictures, runs, uploads, panels, trainings."""
