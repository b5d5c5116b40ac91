# What a newcomer needs: make demo, make test. Everything else is for working on Alula.
SWIFT ?= swift
BIN = .build/release
PACKAGES = libflac-dev libjpeg-dev libpng-dev libprotobuf-c-dev libzip-dev libhdf5-dev pkg-config
TEST_PACKAGES = libsimde-dev libc6-dev-arm64-cross libgcc-12-dev-arm64-cross qemu-user-static lld

.PHONY: all deps test-deps build runner demo test unit debug-test emulation embedded tune-test format lint bench conformance onnx-proto fuzz clean

all: build

# Installs only what is missing; needs root or sudo for that.
define install
@missing=""; for p in $(1); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
if [ -n "$$missing" ]; then echo "installing$$missing"; \
  SUDO=$$([ "$$(id -u)" = 0 ] || echo sudo); $$SUDO apt-get update -qq && $$SUDO apt-get install -y -qq $$missing >/dev/null; fi
endef

deps:
	$(call install,$(PACKAGES))

test-deps: deps
	$(call install,$(TEST_PACKAGES))

build: deps
	$(SWIFT) build -c release --product alula
	$(SWIFT) build -c release --product alula-run

# alula-run for a device: one stripped file that needs no shared library.
runner: deps
	$(SWIFT) build -c release -Xswiftc -static-executable --product alula-run --scratch-path .build-static
	strip -o .build-static/alula-run .build-static/release/alula-run
	@ls -l .build-static/alula-run

# Trained models on a drawn picture and a simulated ECG, or on FILE; then the way from a Hugging Face folder to int8, with a folder made here.
FILE =
MODELS = models/trained
ECG = $(filter %.hea,$(FILE))
demo: build
	@mkdir -p demo
ifeq ($(FILE),)
	$(BIN)/alula create image-sample -o demo/apple.png --scene apple
	$(BIN)/alula run $(MODELS)/edgevit-cifar100.int8.alula demo/apple.png --plot demo/apple.svg
	$(BIN)/alula create ecg-sample -o demo/ecg.hea
	$(BIN)/alula run $(MODELS)/msw-ptbxl.int8.alula demo/ecg.hea --plot demo/ecg.svg
	$(BIN)/alula bench $(MODELS)/msw-ptbxl.int8.alula --threads 1,2
else
	$(BIN)/alula run $(MODELS)/$(if $(ECG),msw-ptbxl,edgevit-cifar100).int8.alula "$(FILE)" --plot demo/result.svg
endif
	$(BIN)/alula create efficientformer-sample -o demo/efficientformer
	$(BIN)/alula create image-sample -o demo/wing.png
	$(BIN)/alula convert demo/efficientformer -o demo/model.alula
	$(BIN)/alula quantize demo/model.alula -o demo/model.int8.alula --calibrate images:demo --samples 8
	$(BIN)/alula verify demo/model.int8.alula
	$(BIN)/alula run demo/model.int8.alula demo/wing.png
	$(BIN)/alula bench demo/model.int8.alula --threads 1,2
	@ls -l demo/*.alula

test: test-deps unit debug-test emulation embedded

# Kernels are only worth testing as they ship: optimized.
unit: build
	$(SWIFT) build -c release --build-tests
	$(SWIFT) test -c release --skip-build

# A second, unoptimized build keeps overflow and bounds traps live for everything that reads untrusted bytes.
debug-test:
	$(SWIFT) test --scratch-path .build-debug --filter 'AlulaGraphTests|AlulaDataTests|AlulaCompilerTests|EfficientFormerTests'

# Instruction sets that this CPU lacks: AVX-512 through SIMDe, Arm through qemu, wasm in Node.
emulation: test-deps
	Tests/KernelEmulation/run.sh

# The core as Embedded Swift for three targets, and one run of it.
embedded: test-deps
	Tests/Embedded/run.sh

# The search of recipes with Optuna, in a Python environment of its own; needs pip, and postgresql for one of the tests.
PYTHON ?= python3
tune-test:
	[ -x .venv-tune/bin/pytest ] || ($(PYTHON) -m venv .venv-tune && .venv-tune/bin/pip install -q -r tuning/requirements.txt)
	.venv-tune/bin/python -m pytest -q tuning/tests

format:
	$(SWIFT) format -i -r -p Package.swift Sources converters models Tests
lint:
	$(SWIFT) format lint -s -r -p Package.swift Sources converters models Tests

bench: build
	benchmarks/run.sh

# ONNX's own backend tests, which lie beside the repository.
conformance: deps
	$(SWIFT) run -c release onnx-conformance ../shared/conformance/onnx-1.19.1 Tests/Conformance/ignored.txt

# The C code that reads ONNX's protobuf messages; needs protobuf-c-compiler.
onnx-proto:
	cd converters/ONNX/Proto && protoc-c --c_out=. onnx.proto && mv onnx.pb-c.h include/

# Each reader of untrusted bytes; SECONDS_OF_FUZZING=180 for longer.
SECONDS_OF_FUZZING ?= 60
fuzz:
	$(SWIFT) build -c release --product fuzz-safetensors
	$(SWIFT) build -c release --product fuzz-pytorch
	$(SWIFT) build -c release --product fuzz-hdf5
	$(SWIFT) build -c release --product fuzz-wfdb
	$(SWIFT) build -c release --product fuzz-onnx
	for format in safetensors pytorch hdf5 wfdb onnx; do $(BIN)/fuzz-$$format --seconds $(SECONDS_OF_FUZZING) || exit 1; done

clean:
	rm -rf .build .build-debug .build-embedded .build-static .venv-tune demo
