"""What comes in: real architectures, exported as people export them, built untuned, and compared.

Each is made with random weights, in a small configuration, and exported in an environment of its own, since
torch and TensorFlow have no business in the product's::

    python3.11 -m venv DIR && DIR/bin/pip install -r benchmarks/coverage/requirements.txt
    python -m benchmarks.coverage --env DIR
    python -m benchmarks.coverage --env DIR --families timm-conv hf-text --resume
    python -m benchmarks.coverage --list

``requirements-keras.txt`` is another such environment, named with ``--keras-env``. Models, results and the
table are kept in ``--out``; what has a result there isn't done again with ``--resume``.
"""
