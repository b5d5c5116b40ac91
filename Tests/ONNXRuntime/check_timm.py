"""Architectures of timm, exported by torch.onnx with random weights, through `alula convert` and `alula quantize`.

    python Tests/ONNXRuntime/check_timm.py --alula .build/release/alula [--exporters ts17,dynamo18] [--json FILE] [MODEL…]

Needs torch, timm, onnx, onnxruntime, safetensors. For each model: the largest difference of the float logits to ONNX Runtime's, relative to the
largest logit, and the signal-to-noise ratio of the int8 logits. Fails where a model is refused or differs by more than 1e-4. Weights are drawn
with a seed; batch norms get the statistics of a few batches, layer scales numbers of about 0.5, and tokens that are parameters the size of those of
patches, so that activations look like a trained model's.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings

import numpy
import onnxruntime
import timm
import torch
from safetensors.numpy import load_file, save_file

MODELS = """
mobilevit_xxs mobilevitv2_050 deit_tiny_patch16_224 deit_tiny_distilled_patch16_224 levit_128s efficientformer_l1 efficientformerv2_s0 fastvit_t8
repvit_m0_9 tiny_vit_5m_224 swin_tiny_patch4_window7_224 swinv2_cr_tiny_ns_224 convnext_atto convnextv2_atto mobilenetv3_small_050
mobilenetv4_conv_small_050 mobilenetv4_hybrid_medium poolformer_s12 poolformerv2_s12 coatnet_nano_rw_224 coatnext_nano_rw_224
maxvit_rmlp_pico_rw_256 mobileone_s0 ghostnet_050 ghostnetv2_100 efficientnet_b0 tf_efficientnetv2_b0 resnet18 regnetx_002 regnety_002
xcit_nano_12_p16_224 crossvit_tiny_240 pit_ti_224 edgenext_xx_small efficientvit_b0 efficientvit_m0 cait_xxs24_224 tnt_s_patch16_224 volo_d1_224
hiera_tiny_224 vit_tiny_patch16_224 vit_wee_patch16_reg1_gap_256 swinv2_tiny_window8_256 nextvit_small shvit_s1 fasternet_t0 starnet_s050
pvt_v2_b0 twins_svt_small davit_tiny focalnet_tiny_srf gcvit_xxtiny convit_tiny coat_lite_tiny visformer_tiny mixer_s32_224 resmlp_12_224
gmlp_s16_224 inception_next_atto lcnet_050 ese_vovnet19b_dw densenet121 rexnet_100 mambaout_femto caformer_s18 convformer_s18 eva02_tiny_patch14_224
halonet26t lambda_resnet26t botnet26t_256 nest_tiny hrnet_w18_small dla46_c res2net50_14w_8s sequencer2d_s
""".split()


def images(count, channels, height, width, seed):
    """Noise of several sizes, as a normalized picture's statistics."""
    random = numpy.random.default_rng(seed)
    total = numpy.zeros((count, channels, height, width), numpy.float32)
    for cells in (2, 5, 16, 64):
        coarse = torch.tensor(random.standard_normal((count, channels, cells, cells)), dtype=torch.float32)
        size = (height, width)
        total += torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").numpy() * 0.6
    return total.clip(-2.1, 2.6)


def model(name):
    torch.manual_seed(7)
    result = timm.create_model(name, pretrained=False, num_classes=100)
    with torch.no_grad():
        for key, parameter in result.named_parameters():
            constant = parameter.numel() > 1 and parameter.std() == 0
            if constant and parameter.ndim > 1 and parameter.numel() > 1000 and parameter.flatten()[0] == 0:
                parameter.normal_(std=0.02)
            elif constant and 0 < abs(parameter.flatten()[0]) < 0.5:
                parameter.copy_(0.5 + 0.2 * torch.randn_like(parameter))
            elif any(word in key for word in ("cls_token", "dist_token", "reg_token", "pos_embed")) and "." not in key:
                parameter.normal_(std=0.7)
    channels, height, width = result.default_cfg["input_size"]
    norms = [m for m in result.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    result.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None
    if norms:
        with torch.no_grad():
            for seed in range(2):
                result(torch.tensor(images(8, channels, height, width, 100 + seed)))
    return result.eval(), (channels, height, width)


def export(network, size, exporter, path):
    sample = torch.tensor(images(1, *size, 1))
    opset = int(exporter.lstrip("tsdynamo"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (sample,), path, opset_version=opset, dynamo=exporter.startswith("dynamo"),
            input_names=["pixel_values"], output_names=["logits"], **({"verbose": False} if exporter.startswith("dynamo") else {}))


def alula(program, *arguments):
    done = subprocess.run([program, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError((done.stdout.strip() + " " + done.stderr.strip()).strip()[-600:])
    return done.stdout


def check(name, exporter, program, folder, network, size):
    row = {"model": name, "exporter": exporter}
    path = lambda end: os.path.join(folder, end)
    inputs = images(3, *size, 5)
    save_file({"pixel_values": inputs}, path("inputs.safetensors"))
    save_file({"pixel_values": images(16, *size, 6)}, path("calibration.safetensors"))
    export(network, size, exporter, path("model.onnx"))
    session = onnxruntime.InferenceSession(path("model.onnx"))
    expected = numpy.concatenate([session.run(["logits"], {"pixel_values": inputs[i:i + 1]})[0] for i in range(3)])

    def logits(file):
        alula(program, "run", path(file), path("inputs.safetensors"), "-o", path("out.safetensors"), "--threads", "1")
        return load_file(path("out.safetensors"))["logits"].reshape(expected.shape)

    told = json.loads(alula(program, "convert", path("model.onnx"), "-o", path("float.alula"), "--json"))
    row["parameters"], row["macs"] = told["parameters"], told["macs"]
    row["difference"] = float(abs(logits("float.alula") - expected).max() / abs(expected).max())
    alula(program, "quantize", path("float.alula"), "-o", path("int8.alula"), "--calibrate",
          "tensors:" + path("calibration.safetensors"), "--threads", "1")
    found = logits("int8.alula")
    row["sqnr"] = float(10 * numpy.log10((expected ** 2).sum() / ((found - expected) ** 2).sum()))
    text = alula(program, "inspect", path("int8.alula"))
    row["float_operators"] = sorted(
        {line.split(" = ")[1].split("(")[0] for line in text.splitlines() if " = " in line and ": f32" in line} - {"dequantize"})
    row["transposes"] = sum(" = transpose(" in line for line in text.splitlines())
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--alula", default=".build/release/alula")
    parser.add_argument("--exporters", default="ts17,dynamo18")
    parser.add_argument("--json")
    options = parser.parse_args()
    rows, failed = [], False
    for name in options.models or MODELS:
        try:
            network, size = model(name)
        except Exception as error:
            print(f"{name}: not here: {error}", file=sys.stderr)
            continue
        for exporter in options.exporters.split(","):
            start = time.time()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    row = check(name, exporter, options.alula, folder, network, size)
                    row["passed"] = row["difference"] <= 1e-4
                except Exception as error:
                    row = {"model": name, "exporter": exporter, "passed": False, "error": f"{type(error).__name__}: {error}"[:900]}
            failed |= not row["passed"]
            row["seconds"] = round(time.time() - start)
            rows.append(row)
            print(json.dumps(row), flush=True)
            if options.json:
                with open(options.json, "w") as file:
                    json.dump(rows, file, indent=1)
    sys.exit(failed)


if __name__ == "__main__":
    main()
