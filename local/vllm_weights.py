"""`python vllm_weights.py FILE.gguf FOLDER`: a GGUF file as a folder that vLLM reads; run with vLLM's own packages.

What the file holds in 4 bits a number becomes 32: a processor has no faster form that is exact.
"""

import sys
from pathlib import Path


def main() -> None:
    import torch  # type: ignore[import-not-found,unused-ignore]
    from transformers import (  # type: ignore[import-not-found,unused-ignore]
        AutoModelForCausalLM,
        AutoTokenizer,
        GgufConfig,
    )

    gguf, folder = Path(sys.argv[1]), sys.argv[2]
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(folder)
    plain = GgufConfig(dequantize=True)
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32, quantization_config=plain)
    model.save_pretrained(folder)


if __name__ == "__main__":
    main()
