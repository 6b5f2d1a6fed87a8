// WireGen: generates Sources/KafkaProtocol/Generated from protocol/.
//
//   WireGen           write what is missing or differs; run it in the root of the package
//   WireGen --check   exit 1 and name the files if any does
//
// Two further arguments name other directories than these two.
import Glibc

@main
enum Main {
  static func main() {
    var arguments = CommandLine.arguments.dropFirst()
    let isCheck = arguments.first == "--check"
    if isCheck { arguments.removeFirst() }
    if arguments.isEmpty { arguments = ["protocol", "Sources/KafkaProtocol/Generated"] }
    guard arguments.count == 2, let source = arguments.first, let target = arguments.last else {
      print("usage: WireGen [--check] [PROTOCOL-DIR GENERATED-DIR]")
      exit(100)
    }
    do {
      let generator = try Generator(directory: source)
      if isCheck {
        let differing = try generator.differences(from: target)
        for name in differing { print("not as generated: \(target)/\(name)") }
        exit(differing.isEmpty ? 0 : 1)
      }
      let written = try generator.write(to: target)
      print("WireGen: \(generator.messages.count) messages, \(written.count) files changed")
    } catch {
      print("WireGen: \(error)")
      exit(1)
    }
  }
}
