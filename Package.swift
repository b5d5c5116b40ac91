// swift-tools-version: 6.1
import PackageDescription

// Arrows point down only; Tests/ArchitectureTests reads this manifest and fails on an upward edge.
let package = Package(
    name: "alula",
    products: [
        .library(name: "Alula", targets: ["Alula"]),
        .executable(name: "alula", targets: ["AlulaCommand"]),
        .executable(name: "alula-run", targets: ["AlulaRunner"]),
        .executable(name: "alula-hdf5-reader", targets: ["alula-hdf5-reader"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        .package(url: "https://github.com/swiftcsv/SwiftCSV", from: "0.10.0"),
    ],
    targets: [
        // MARK: Core: no Foundation, no packages; also compiled as Embedded Swift
        .target(
            name: "AlulaSystem",
            // Nothing else links the math library into a program without Foundation.
            linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux, .android]))]),
        .target(name: "AlulaKernels"),
        .target(name: "AlulaGraph", dependencies: ["AlulaSystem"]),
        .target(name: "AlulaRuntime", dependencies: ["AlulaGraph", "AlulaKernels", "AlulaSystem"]),

        // MARK: Umbrella library and device runner, on the core alone
        .target(name: "Alula", dependencies: ["AlulaRuntime"]),
        .executableTarget(name: "AlulaRunner", dependencies: ["AlulaRuntime"]),

        // MARK: Workbench: compiler, data, formats, architectures, command line
        .target(name: "AlulaCompiler", dependencies: ["AlulaRuntime"]),
        .target(name: "AlulaTraining", dependencies: ["AlulaCompiler", "AlulaData"]),
        .target(
            name: "AlulaData",
            dependencies: ["AlulaRuntime", "CImageCodecs", "CFLAC", .product(name: "SwiftCSV", package: "SwiftCSV")]),
        .target(name: "SafetensorsConverter", dependencies: ["AlulaRuntime"], path: "converters/Safetensors"),
        .target(
            name: "ONNXConverter", dependencies: ["AlulaRuntime", "COnnxProto"], path: "converters/ONNX",
            exclude: ["Proto"]),
        .target(
            name: "PyTorchConverter", dependencies: ["AlulaRuntime", "CZip"], path: "converters/PyTorch",
            exclude: ["README.md"]),
        .target(
            name: "HDF5Converter", dependencies: ["AlulaRuntime"], path: "converters/HDF5",
            exclude: ["README.md", "Reader", "ReaderProgram"]),
        // A program of its own, so that a file that libhdf5 cannot stand ends only this.
        .target(name: "HDF5Reader", dependencies: ["CHDF5"], path: "converters/HDF5/Reader"),
        .executableTarget(
            name: "alula-hdf5-reader", dependencies: ["HDF5Reader"], path: "converters/HDF5/ReaderProgram"),
        .target(name: "ModelBuilding", dependencies: ["AlulaGraph"], path: "models/ModelBuilding"),
        .target(
            name: "EfficientFormer", dependencies: ["ModelBuilding"], path: "models/EfficientFormer",
            exclude: ["README.md"]),
        .target(
            name: "EdgeViT", dependencies: ["ModelBuilding"], path: "models/EdgeViT", exclude: ["README.md"]),
        .target(
            name: "MSWTransformer", dependencies: ["ModelBuilding"], path: "models/MSWTransformer",
            exclude: ["README.md"]),
        .executableTarget(
            name: "AlulaCommand",
            dependencies: [
                "Alula", "AlulaCompiler", "AlulaTraining", "AlulaData", "SafetensorsConverter", "PyTorchConverter",
                "HDF5Converter",
                "alula-hdf5-reader", "ONNXConverter", "EfficientFormer", "EdgeViT", "MSWTransformer",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),

        // MARK: System libraries, and the thin C layer that catches their longjmp
        .target(
            name: "CImageCodecs", dependencies: ["CJPEG", "CPNG"],
            linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png")]),
        .systemLibrary(name: "CJPEG", pkgConfig: "libjpeg", providers: [.apt(["libjpeg-dev"])]),
        .systemLibrary(name: "CFLAC", pkgConfig: "flac", providers: [.apt(["libflac-dev"])]),
        .systemLibrary(name: "CPNG", pkgConfig: "libpng", providers: [.apt(["libpng-dev"])]),
        .systemLibrary(name: "CHDF5", pkgConfig: "hdf5", providers: [.apt(["libhdf5-dev"])]),
        .systemLibrary(name: "CZip", pkgConfig: "libzip", providers: [.apt(["libzip-dev"])]),

        // The code that protobuf-c's compiler makes of onnx.proto.
        .target(
            name: "COnnxProto", dependencies: ["CProtobufC"], path: "converters/ONNX/Proto", exclude: ["onnx.proto"]),
        .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),

        // MARK: Tests
        .target(name: "TestSupport", dependencies: ["AlulaRuntime"], path: "Tests/TestSupport"),
        .target(name: "AllocationCounter", path: "Tests/AllocationCounter"),
        .testTarget(name: "AlulaGraphTests", dependencies: ["AlulaGraph", "TestSupport"]),
        .testTarget(name: "AlulaKernelsTests", dependencies: ["AlulaKernels", "TestSupport"]),
        .testTarget(name: "AlulaTests", dependencies: ["Alula", "AlulaGraph"]),
        .testTarget(name: "AlulaRuntimeTests", dependencies: ["AlulaRuntime", "TestSupport", "AllocationCounter"]),
        .testTarget(name: "AlulaCompilerTests", dependencies: ["AlulaCompiler", "TestSupport"]),
        .testTarget(
            name: "AlulaTrainingTests",
            dependencies: [
                "AlulaTraining", "EfficientFormer", "EdgeViT", "MSWTransformer", "SafetensorsConverter", "TestSupport",
            ], exclude: ["Fixtures"]),
        .testTarget(
            name: "AlulaDataTests", dependencies: ["AlulaData", "TestSupport"], exclude: ["Fixtures"]),
        .testTarget(
            name: "ONNXConverterTests", dependencies: ["ONNXConverter", "AlulaCompiler", "TestSupport"],
            exclude: ["Fixtures"]),
        .testTarget(
            name: "EfficientFormerTests",
            dependencies: ["EfficientFormer", "SafetensorsConverter", "AlulaCompiler", "TestSupport"]),
        .testTarget(
            name: "EdgeViTTests", dependencies: ["EdgeViT", "SafetensorsConverter", "AlulaCompiler", "TestSupport"]),
        .testTarget(
            name: "MSWTransformerTests", dependencies: ["MSWTransformer", "AlulaCompiler", "TestSupport"]),
        .testTarget(name: "EndToEndTests", dependencies: ["AlulaGraph", "TestSupport"]),
        .testTarget(name: "ArchitectureTests"),
        .testTarget(
            name: "HDF5ConverterTests", dependencies: ["HDF5Converter", "alula-hdf5-reader"],
            exclude: ["Fixtures", "make_fixtures.py"]),
        .testTarget(name: "PyTorchConverterTests", dependencies: ["PyTorchConverter", "TestSupport"]),
        .executableTarget(
            name: "train-bench", dependencies: ["AlulaTraining", "EfficientFormer", "EdgeViT"],
            path: "benchmarks/training", exclude: ["torch_step.py"]),
        .target(name: "FuzzSupport", dependencies: ["TestSupport"], path: "Tests/Fuzz/Support"),
        .executableTarget(
            name: "onnx-conformance", dependencies: ["ONNXConverter", "AlulaRuntime"], path: "Tests/Conformance",
            exclude: ["ignored.txt"]),
        .executableTarget(
            name: "fuzz-safetensors", dependencies: ["FuzzSupport", "TestSupport"], path: "Tests/Fuzz/Safetensors"),
        .executableTarget(
            name: "fuzz-pytorch", dependencies: ["PyTorchConverter", "FuzzSupport", "TestSupport"],
            path: "Tests/Fuzz/PyTorch"),
        .target(name: "HDF5Fork", dependencies: ["HDF5Reader", "CHDF5"], path: "Tests/Fuzz/HDF5Fork"),
        .executableTarget(
            name: "fuzz-hdf5", dependencies: ["HDF5Converter", "HDF5Fork", "FuzzSupport", "TestSupport"],
            path: "Tests/Fuzz/HDF5"),
        .executableTarget(
            name: "fuzz-wfdb", dependencies: ["AlulaData", "FuzzSupport", "TestSupport"], path: "Tests/Fuzz/WFDB"),
        .executableTarget(
            name: "fuzz-onnx", dependencies: ["ONNXConverter", "FuzzSupport", "TestSupport"], path: "Tests/Fuzz/ONNX"),
    ],
    swiftLanguageModes: [.v6],
    cLanguageStandard: .c11
)
