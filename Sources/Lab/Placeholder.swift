import NIOSSL
import X509
import Crypto
import NIOHTTP1
import NIOPosix
