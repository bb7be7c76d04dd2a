"""Options of the trainings and studies; nothing here imports TensorFlow."""
