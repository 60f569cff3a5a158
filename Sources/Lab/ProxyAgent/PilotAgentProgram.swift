import Mesh
import Netlink

/// The program `pilot-agent` of the proxy's container, as far as people use it there: `pilot-agent request METHOD PATH`.
///
/// A script for the machine's curl, because programs of a pod run as users who need not be allowed into this program's
/// own folder.
enum PilotAgentProgram {
    /// A directory that every machine has (Filesystem Hierarchy Standard 3.0, 3.17), and containers leave empty.
    static let directory = "/srv"

    /// The directory with the program, and nothing else in it.
    static let items: [ContainerFileSystem.Item] = [
        .directory(directory, mode: 0o755),
        .file(directory + "/pilot-agent", content: Array(text.utf8), mode: 0o755),
    ]

    private static let text = """
        #!/bin/sh
        usage() {
            echo "Usage: pilot-agent request METHOD PATH" >&2
            exit 1
        }
        [ "$1" = request ] || usage
        shift
        port=\(LabConstants.adminPort)
        while [ $# -gt 2 ]; do
            case $1 in
            --debug-port) port=$2; shift 2;;
            --debug-port=*) port=${1#*=}; shift;;
            *) break;;
            esac
        done
        [ $# -ge 2 ] || usage
        if ! command -v curl >/dev/null; then
            echo "pilot-agent: curl is needed on this machine" >&2
            exit 1
        fi
        exec curl -sS -X "$1" "http://127.0.0.1:$port/${2#/}"

        """
}
