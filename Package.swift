// swift-tools-version: 6.2
// Sluice: a Kafka broker made of small processes. The order below is the order of the layers:
// a target may import only targets above it, and `make check` holds every target to what it names.
import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("MemberImportVisibility"),
]

func library(
  _ name: String, _ dependencies: [Target.Dependency] = [], _ settings: [SwiftSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: "Sources/\(name)",
    swiftSettings: strict + settings)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: "Sources/\(name)", swiftSettings: strict)
}

func tests(
  _ name: String, _ dependencies: [Target.Dependency], exclude: [String] = []
) -> Target {
  .testTarget(
    name: name, dependencies: dependencies, path: "Tests/\(name)", exclude: exclude,
    swiftSettings: strict)
}

let deque: Target.Dependency = .product(name: "DequeModule", package: "swift-collections")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let argumentParser: Target.Dependency = .product(
  name: "ArgumentParser", package: "swift-argument-parser")

let package = Package(
  name: "sluice",
  products: [
    .executable(name: "sluice-frontend", targets: ["Frontend"]),
    .executable(name: "sluice-logwriter", targets: ["LogWriter"]),
    .executable(name: "sluice-fetcher", targets: ["Fetcher"]),
    .executable(name: "sluice-coordinator", targets: ["Coordinator"]),
    .executable(name: "sluice-codec", targets: ["Codec"]),
    .executable(name: "sluice-cleaner", targets: ["Cleaner"]),
    .executable(name: "sluice", targets: ["CLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
  ],
  targets: [
    // C: declarations and macros that Swift cannot see, one module per library.
    .target(name: "CLinux", path: "Sources/CLinux"),
    .target(name: "CCRC32C", path: "Sources/CCRC32C"),
    .systemLibrary(
      name: "CSystemd", path: "Sources/CSystemd", pkgConfig: "libsystemd",
      providers: [.apt(["libsystemd-dev"])]),
    .systemLibrary(
      name: "CCompression", path: "Sources/CCompression",
      providers: [.apt(["liblz4-dev", "libzstd-dev", "libsnappy-dev", "zlib1g-dev"])]),
    .systemLibrary(
      name: "CSQLite", path: "Sources/CSQLite", pkgConfig: "sqlite3",
      providers: [.apt(["libsqlite3-dev"])]),

    // Libraries, lowest first.
    library("Model"),
    library("Linux", ["CLinux"]),
    // Its reader cannot outlive the bytes it reads: that takes lifetime annotations.
    library(
      "KafkaProtocol", ["Model"],
      [.enableExperimentalFeature("Lifetimes"), .strictMemorySafety()]),
    library("Records", ["Model", "CCRC32C"]),
    library("Compression", ["Model", "CCompression"]),
    library("Storage", ["Model", "Linux", "Records", deque]),
    library("Configuration", ["Model"]),
    library("IPC", ["Model", "Linux", deque]),
    library("Service", ["Model", "Linux", "Configuration", "IPC", "CSystemd", logging]),

    // Programs. None imports another; they share nothing but IPC.
    program(
      "Frontend",
      [
        "Model", "Linux", "KafkaProtocol", "Records", "Configuration", "IPC", "Service", deque,
        logging,
      ]),
    program(
      "LogWriter",
      ["Model", "Linux", "Records", "Storage", "Configuration", "IPC", "Service", deque]),
    program(
      "Fetcher",
      [
        "Model", "Linux", "KafkaProtocol", "Records", "Configuration", "IPC", "Service", deque,
        logging,
      ]),
    program(
      "Codec",
      [
        "Model", "Linux", "Records", "Compression", "Configuration", "IPC", "Service", deque,
        logging,
      ]),
    program(
      "Coordinator",
      [
        "Model", "Linux", "KafkaProtocol", "Records", "Compression", "Configuration", "IPC",
        "Service", "CSQLite", deque, logging,
      ]),
    program(
      "Cleaner",
      [
        "Model", "Linux", "Records", "Compression", "Configuration", "IPC", "Service", logging,
      ]),
    program(
      "CLI",
      [
        "Model", "Linux", "KafkaProtocol", "Records", "Compression", "Configuration", "IPC",
        "Service", argumentParser,
      ]),
    program("WireGen", []),

    tests("ModelTests", ["Model"]),
    tests("LinuxTests", ["Linux"]),
    tests("KafkaProtocolTests", ["KafkaProtocol", "WireGen", "Model"], exclude: ["Golden"]),
    tests("RecordsTests", ["Records", "Compression", "Model", "CCRC32C"]),
    tests("StorageTests", ["Storage", "Records", "Model", "Linux"]),
    tests("ConfigurationTests", ["Configuration", "Model"]),
    tests("IPCTests", ["IPC", "Linux", "Model"]),
    tests("ServiceTests", ["Service", "Configuration", "IPC", "Linux", "Model", logging]),
    tests(
      "FrontendTests",
      [
        "Frontend", "KafkaProtocol", "Records", "IPC", "Linux", "Model", "Configuration", "Service",
      ]),
    tests(
      "LogWriterTests", ["LogWriter", "Storage", "Records", "IPC", "Linux", "Model", "Service"]),
    tests(
      "FetcherTests",
      ["Fetcher", "KafkaProtocol", "Records", "IPC", "Linux", "Model", "Service", logging]),
    tests(
      "CodecTests", ["Codec", "Compression", "Records", "IPC", "Linux", "Model", "Service"]),
    tests(
      "CoordinatorTests",
      [
        "Coordinator", "KafkaProtocol", "Records", "Compression", "IPC", "Linux", "Model",
        "Configuration", "Service",
      ]),
    tests(
      "CleanerTests",
      ["Cleaner", "Records", "Compression", "IPC", "Linux", "Model", "Service"]),
    tests(
      "CLITests",
      [
        "CLI", "KafkaProtocol", "Records", "Compression", "Storage", "IPC", "Linux", "Model",
        argumentParser,
      ]),
    tests(
      "ProcessTests",
      ["KafkaProtocol", "Records", "Compression", "IPC", "Linux", "Model"]),
  ]
)

// Fuzz targets, only where Fuzz/run.sh asks for them: each is a static library that it links with
// libFuzzer.
if Context.environment["SLUICE_FUZZ"] != nil {
  func fuzz(_ name: String, _ dependencies: [Target.Dependency]) {
    package.products.append(.library(name: name, type: .static, targets: [name]))
    package.targets.append(
      .target(name: name, dependencies: dependencies, path: "Fuzz/\(name)", swiftSettings: strict))
  }
  package.targets.append(
    .target(
      name: "FuzzSupport", dependencies: ["KafkaProtocol"], path: "Fuzz/Support",
      swiftSettings: strict))
  for name in ["FuzzRequests", "FuzzResponses", "FuzzRecords"] {
    fuzz(name, ["FuzzSupport", "KafkaProtocol"])
  }
}
