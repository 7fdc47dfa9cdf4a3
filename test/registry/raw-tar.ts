/** Headers as no library writes them. */
export interface RawHeader {
  name: string;
  /** How the name is written; UTF-8 unless given. */
  latin1?: boolean;
  type?: string;
  size?: number;
  rawSize?: string;
  /** In base 256. */
  binary?: boolean;
  linkName?: string;
  prefix?: string;
  /** With the version: eight bytes; none for the seventh edition's. */
  magic?: string;
  checksum?: 'unsigned' | 'signed';
}

export function header({
  name,
  latin1 = false,
  type = '0',
  size = 0,
  rawSize,
  binary = false,
  linkName = '',
  prefix = '',
  magic = 'ustar\x0000',
  checksum = 'unsigned',
}: RawHeader): Buffer {
  const block = Buffer.alloc(512);
  block.write(name, 0, latin1 ? 'latin1' : 'utf8');
  block.write('0000644\0', 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  if (binary) {
    block.fill(size < 0 ? 0xff : 0, 124, 136);
    block.writeInt32BE(size, 132);
    block[124] = size < 0 ? 0xff : 0x80;
  } else {
    block.write(rawSize ?? `${size.toString(8).padStart(11, '0')}\0`, 124);
  }
  block.write('00000000000\0', 136);
  block.write(type, 156, 'latin1');
  block.write(linkName, 157);
  block.write(magic, 257, 'latin1');
  block.write(prefix, 345);
  block.write('        ', 148);
  const signed = (byte: number) => (byte < 0x80 ? byte : byte - 0x100);
  const sum = block.reduce((total, byte) => total + (checksum === 'signed' ? signed(byte) : byte), 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** A header and its content, filled up to whole blocks. */
export function padded(block: Buffer, content: string): Buffer {
  const bytes = Buffer.from(content, 'latin1');
  return Buffer.concat([block, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)]);
}

/** A file with records of an extended header, each `key=value`. */
export function rawTar(records: readonly string[], content: string): Buffer {
  const pax = records.map(record).join('');
  return Buffer.concat([
    padded(header({ name: 'x', type: 'x', size: Buffer.byteLength(pax) }), pax),
    padded(header({ name: 'file', size: content.length }), content),
  ]);
}

function record(text: string): string {
  const rest = ` ${text}\n`;
  const length = (digits: number): number => {
    const whole = digits + Buffer.byteLength(rest);
    return String(whole).length === digits ? whole : length(digits + 1);
  };
  return `${length(1)}${rest}`;
}
