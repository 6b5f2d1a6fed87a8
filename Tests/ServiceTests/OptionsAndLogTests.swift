// The command line of the daemons, and what may appear in a log line.
import IPC
import Testing

@testable import Service

struct ServiceOptionsTests {
  private func parse(_ arguments: String...) -> (ServiceOptions?, String) {
    do throws(ServiceFailure) {
      switch try ServiceOptions.parse(arguments, role: .fetcher) {
      case .options(let options): return (options, "")
      case .answer(let text): return (nil, text)
      }
    } catch { return (nil, "\(error.exitCode): \(error)") }
  }

  @Test func options() {
    var expected = ServiceOptions()
    #expect(parse().0 == expected)
    expected.configFile = "x.properties"
    expected.overrides = ["a=b", "c=d=e", "f="]
    expected.runtimeDirectory = "/tmp/r"
    expected.instance = 3
    expected.peers = ["frontend=0", "fetcher=1,admin=2"]
    #expect(
      parse(
        "--config", "x.properties", "--override", "a=b", "--override=c=d=e", "--override", "f=",
        "--runtime-directory=/tmp/r", "--instance", "3", "--peers", "frontend=0",
        "--peers=fetcher=1,admin=2"
      ).0 == expected)
  }

  @Test func mistakes() {
    #expect(parse("--config").1 == "100: --config needs a value; see --help")
    #expect(parse("--nonsense").1 == "100: unknown option '--nonsense'; see --help")
    #expect(parse("x").1 == "100: unknown option 'x'; see --help")
    for wrong in ["0", "-1", "x", "", "4294967296"] {
      #expect(
        parse("--instance", wrong).1 == "100: --instance is a number from 1 on, not '\(wrong)'")
    }
    #expect(parse("-h").1.contains("--runtime-directory"))
    #expect(parse("--version").1 == "sluice-fetcher \(Version.text)")
  }
}

struct LogLineTests {
  @Test(arguments: [
    ("plain text", "plain text"), ("grüße 漢字", "grüße 漢字"), ("a\nb\tc\u{7F}", "a?b?c?"),
    ("\u{1B}[31mred", "?[31mred"), ("\u{9B}31m", "?31m"), ("a\u{2028}b\u{2029}", "a?b?"),
    ("abc\u{202E}def", "abc?def"), ("\r\n", "??"),
  ])
  func clientsCannotForgeLines(text: String, printed: String) {
    #expect(LogText.printable(text) == printed)
  }

  @Test(arguments: [
    ("x", "x"), ("", "\"\""), ("a b", "\"a b\""), ("a\" b=\"c", "\"a\\\" b=\\\"c\""),
    ("k=v", "\"k=v\""), ("a\\ b", "\"a\\\\ b\""), ("127.0.0.1:9", "127.0.0.1:9"),
  ])
  func valuesCannotForgeFields(value: String, printed: String) {
    #expect(LogText.quoted(value) == printed)
  }
}
