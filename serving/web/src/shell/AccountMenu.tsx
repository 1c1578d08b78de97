import { DropdownMenu } from "radix-ui";
import { Icon } from "../parts/Icon";
import { useSay } from "../parts/toasts";
import { useSign, useWho } from "../session";

export function AccountMenu() {
  const { session } = useWho();
  const { signOut } = useSign();
  const say = useSay();
  const leave = () => void signOut().catch((error: unknown) => say((error as Error).message, { tone: "bad" }));
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger className="button button-icon" aria-label={`Account ${session.account ?? ""}`}>
        <Icon name="person" />
      </DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className="menu" align="end" sideOffset={6}>
          <DropdownMenu.Label className="menu-label">Signed in as {session.account}</DropdownMenu.Label>
          <DropdownMenu.Item className="menu-item" onSelect={leave}>
            Sign out
          </DropdownMenu.Item>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
