"""Run the frozen graph itself with TensorFlow 2, to compare the torch network with it.

The graph uses operations that TensorFlow only runs in a graph as old as theirs, so it is imported
into a graph of its own and run in a session, not turned into a function.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np

from eval.networks.inception_layers import POOL_DIMS, SPATIAL_CHANNELS, SPATIAL_DIMS, SPATIAL_SCOPE
from records.errors import UserError

ERRORS_ONLY = "2"  # of TF_CPP_MIN_LOG_LEVEL
# As in both pyproject.toml; whoever has the small wheel has no extra of the whole project.
REQUIREMENT = "tensorflow-cpu>=2.21,<3"
STDERR = 2


def make_tensorflow_network(
    path: str | Path, *, num_threads: int
) -> tuple[Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]], str]:
    """Import the frozen graph and return what runs it, with TensorFlow's version.

    The images enter at ExpandDims, behind the decoder of JPEGs, and pass the graph's own resize.
    Fetched are pool_3, the first 7 channels of mixed_6/conv, and softmax(pool_3 W) with the matrix
    that enters softmax/logits/MatMul; the graph's own softmax would add biases and take one image.

    Args:
        path: the .pb file, already checked.
        num_threads: threads for one operation; operations run one after the other.

    Returns:
        A function of uint8 images [n, h, w, 1 or 3] (grey is repeated to three channels) that
        returns float32 pool [n, 2048], spatial [n, 2023] and softmax [n, 1008]; and TensorFlow's
        version.

    Raises:
        UserError: TensorFlow is not installed.
    """
    with _quiet_stderr():
        tf = _import_tensorflow()
        graph_def = tf.compat.v1.GraphDef()
        graph_def.ParseFromString(Path(path).read_bytes())
        graph = tf.Graph()
        with graph.as_default():
            placeholder = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3])
            pool, spatial, matmul = tf.import_graph_def(
                graph_def,
                input_map={"ExpandDims:0": placeholder},
                return_elements=["pool_3:0", f"{SPATIAL_SCOPE}:0", "softmax/logits/MatMul"],
                name="",
            )
            pool = tf.reshape(pool, [-1, POOL_DIMS])
            spatial = tf.reshape(spatial[..., :SPATIAL_CHANNELS], [-1, SPATIAL_DIMS])
            softmax = tf.nn.softmax(tf.matmul(pool, matmul.inputs[1]))
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=num_threads,
            inter_op_parallelism_threads=1,
            use_per_session_threads=True,
            device_count={"GPU": 0},
        )
        session = tf.compat.v1.Session(graph=graph, config=config)
    call = session.make_callable([pool, spatial, softmax], feed_list=[placeholder])

    def run(images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        images = np.broadcast_to(images.astype(np.float32), (*images.shape[:3], 3))
        pool, spatial, softmax = call(images)
        return pool, spatial, softmax

    return run, tf.__version__


def _import_tensorflow() -> ModuleType:
    """Import TensorFlow, or say how to get it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", ERRORS_ONLY)
    try:
        import tensorflow as tf
    except ImportError as error:
        raise UserError(
            f"backend tensorflow: TensorFlow cannot be imported ({error}); install it with "
            f'pip install "{REQUIREMENT}", or use --backend torch'
        ) from error
    return tf


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Drop what libraries write to stderr: TensorFlow greets before it reads its log level."""
    sys.stderr.flush()
    kept = os.dup(STDERR)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), STDERR)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, STDERR)
        os.close(kept)
