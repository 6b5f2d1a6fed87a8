// From the definition files to the generated files: reads all definitions, makes the text of every
// generated file, and writes or compares them.

struct Generator {
  var definitions: [Definition] = []

  init(directory: String) throws {
    for folder in ["api", "data", "record"] {
      for name in try Files.list("\(directory)/\(folder)", suffix: ".wire") {
        let path = "\(directory)/\(folder)/\(name)"
        let text = try Files.read(path) ?? ""
        definitions.append(try DefinitionParser.parse(text, file: path))
      }
    }
  }

  var messages: [Message] { definitions.flatMap(\.messages) }

  /// The generated files: name and content.
  func files() -> [(name: String, content: String)] {
    var files = messages.map { (name: "\($0.name).swift", content: StructEmitter($0).file()) }
    let apis = definitions.compactMap(\.api).sorted { $0.key < $1.key }
    files.append(("ApiKey.swift", TableEmitter.apiKeys(apis)))
    files.append(("AllMessages.swift", TableEmitter.allMessages(messages)))
    return files.sorted { $0.name < $1.name }
  }

  /// The names of files in `directory` that differ from what would be generated, are missing, or
  /// are not generated any more.
  func differences(from directory: String) throws -> [String] {
    let files = files()
    var differing: [String] = []
    for file in files where try Files.read("\(directory)/\(file.name)") != file.content {
      differing.append(file.name)
    }
    let expected = Set(files.map(\.name))
    return differing
      + (try Files.list(directory, suffix: ".swift")).filter { !expected.contains($0) }
  }

  /// Makes `directory` hold exactly the generated files, leaving those that are right untouched so
  /// that they need no compiling.
  func write(to directory: String) throws -> [String] {
    let stale = try differences(from: directory)
    let contents = Dictionary(uniqueKeysWithValues: files().map { ($0.name, $0.content) })
    for name in stale {
      if let content = contents[name] {
        try Files.write(content, to: "\(directory)/\(name)")
      } else {
        try Files.remove("\(directory)/\(name)")
      }
    }
    return stale
  }
}
